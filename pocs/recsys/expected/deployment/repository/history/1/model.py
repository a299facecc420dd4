# This stands for history/1/model.py.
