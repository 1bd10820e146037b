"""What is wrong with inputs, and what is likely to be: values, matrices, products, and the tables between stages."""
