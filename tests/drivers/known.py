"""What drivers send and pgseal refuses, with the reason: (beginning of the driver's name, check, steps, reason).

A refusal that is not listed here fails the run, and so does a difference that is not one of FOLLOWING.
"""

REFUSED = []

# Steps that read what a refused step would have written.
FOLLOWING = []
