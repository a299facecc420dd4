"""A pipeline of other models, called as Business Logic Scripting."""
