"""`make torture`: what the queue's workers survive, tried and counted.

jobs.py leaves evidence of every attempt, evidence.py counts what was lost or done twice, scene.py starts and
strikes the workers, trials.py holds one function for each kind of harm, and torture.py is the command.
"""
