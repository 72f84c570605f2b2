"""Tables of Arrow and Parquet, by pyarrow where it is there: texts in a column, vectors beside the others."""
