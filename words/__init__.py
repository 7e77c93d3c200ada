"""A word from file to text, without Keras.

alphabet: the characters a network writes; lists: labelled word images; images: what the network sees; ctc, lexicon: what its
output says; reader: all of that together; models: the folders that trained models are kept in; metrics: how well it reads.
"""
