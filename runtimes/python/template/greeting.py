import os


def greet(name):
    return f"{os.environ.get('GREETING', 'Hello')}, {name}!"
