"""A training of any network: what there is to choose, what happens between batches, and the folder that it leaves behind.

recipe: the options of every training script, without Keras; backend: Keras, devices; optimizers: Muon, schedules; batches:
data read ahead; training: validation, saving, early stopping; state: what going on after an interruption needs; history:
history.csv and losses.png; folder: the model's folder and its report. Nothing here knows what the network reads.
"""
