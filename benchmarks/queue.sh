#!/usr/bin/env bash
# Work through a list of trainings, one after another.
#
#     benchmarks/queue.sh trainings.txt logs
#
# A line of trainings.txt is a command without "python", as `train.py --path words --save_path models --model_name mine`;
# empty lines and those that begin with # are passed over. Lines may be added while the queue runs. Each writes its output to
# logs/NAME.log, NAME being its --model_name. What was interrupted goes on when the queue is started again; what has finished
# or failed (logs/NAME.done, logs/NAME.failed) is not run again. PYTHON names another python, TF_NUM_INTRAOP_THREADS=1 leaves
# the other cores to other work.
set -u
if [ $# -ne 2 ] || [ ! -r "$1" ]; then
    echo "queue.sh: give a list of trainings that can be read and a folder for logs" >&2
    exit 2
fi
list=$1 logs=$2 failed=0
mkdir -p "$logs"

option() {  # the value of option $1 in the command $2
    sed -nE "s/.*--$1[ =]([^ ]+).*/\1/p" <<< "$2"
}

next() {  # the first command that has neither finished nor failed
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in '' | '#'*) continue ;; esac
        name=$(option model_name "$line")
        if [ -z "$name" ]; then
            echo "queue.sh: no --model_name in: $line" >&2
            exit 2
        fi
        [ -e "$logs/$name.done" ] || [ -e "$logs/$name.failed" ] || { echo "$line"; return; }
    done < "$list"
}

while line=$(next) || exit 2; [ -n "$line" ]; do
    name=$(option model_name "$line") folder=$(option save_path "$line")
    [ -e "${folder:-models}/$name/resume.npz" ] && line+=" --resume"
    echo "$(date '+%F %T') $name begins"
    xargs "${PYTHON:-python}" <<< "$line" >> "$logs/$name.log" 2>&1
    status=$?
    if [ $status -eq 0 ]; then outcome=done; else outcome=failed failed=1; fi
    touch "$logs/$name.$outcome"
    echo "$(date '+%F %T') $name $outcome"
done
exit $failed
