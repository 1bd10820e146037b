"""Models: branches bring each source to a token, a fusion joins the tokens, a head turns them into a log price.

Shape letters, used in all modules here: ``B`` products of a batch, ``S`` sources, ``D`` width of an embedding, ``K``
structural columns, ``W`` width of a token, ``F`` width of the fused features.
"""
