# This stands for item_features/1/model.py.
