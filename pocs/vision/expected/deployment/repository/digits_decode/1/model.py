# This stands for digits_decode/1/model.py.
