"""Liquid for text that strangers wrote: the engine of `messaging.content.rendering`, which is the only caller.

python-liquid gives the grammar and the tree; what may be said and how much it may cost is decided here.

    source      one linear pass: markers to tokens, with line and column of what is refused
    tree        the parsed tree: checked, its ranges bounded, the variables that it reads
    context     one render: metered steps, loops, output and memory; no attribute is ever read
    filters     the filters that may be used, each with a bound on what goes in and comes out
    limits      the bounds, and the exception that ends a render at one of them
"""
