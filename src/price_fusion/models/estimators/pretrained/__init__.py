"""TabICL, a pretrained model of tables: its checkpoint, and fewer columns for it."""
