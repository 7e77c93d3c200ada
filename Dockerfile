# CRNN_OCR_lite on an NVIDIA GPU (needs the NVIDIA Container Toolkit on the host):
#   docker build -t crnn_ocr:latest -f Dockerfile .
#   docker run --gpus all --rm -it -v /home:/data -p 8004:8000 crnn_ocr:latest
# The search page, on http://localhost:8004, asking for the password on the first line of a file:
#   docker run --gpus all --rm -it -v /home:/data -p 8004:8000 crnn_ocr:latest \
#       python search.py serve --index /data/me/photos --host 0.0.0.0 --password-file /data/me/password.txt
FROM tensorflow/tensorflow:2.20.0-gpu

WORKDIR /CRNN_OCR_lite
COPY requirements*.txt ./
# The image brings TensorFlow with CUDA; a second one from requirements.txt would hide it.
RUN sed -i '/^tensorflow/d' requirements.txt && pip install --no-cache-dir -r requirements.txt

# Files under /data belong to the host's users: `docker run --user "$(id -u)"` writes there as yourself.
RUN useradd --create-home reader && chown reader: .
USER reader
COPY --chown=reader . .
# The decoder's loops are compiled once, here, and kept where any user may write.
ENV NUMBA_CACHE_DIR=/tmp/numba
RUN python predict.py --model_path models/iam --image_path imgs/words --lexicon en && chmod -R a+rwX /tmp/numba
EXPOSE 8000
CMD ["bash"]
