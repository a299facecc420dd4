# This stands for user_features/1/model.py.
