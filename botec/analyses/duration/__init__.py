"""How long a step takes: one time per op, added up, with an interval.

``classes`` says which kinds of op share an efficiency, ``speeds`` what a device reaches of each,
``times`` makes seconds of a program's ops, ``run`` those of a whole run, ``pages`` the report.
"""
