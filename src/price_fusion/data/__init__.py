"""What products are: ids, prices, columns, embeddings, how they are read, checked, grouped and split."""
