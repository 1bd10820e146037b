"""How much of a product its catalog text offers: weight, volume, count and pack size, in one base unit each.

Catalog texts state a quantity twice: in fields (``Value: 72.0``, ``Unit: Fl Oz``) and in the title ("12 Ounce (Pack of
6)"). Neither is always there nor always right, so both are read, apart from each other, and a model may weigh them.
"""
