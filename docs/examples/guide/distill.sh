stillhouse distill models:/credit@champion --data rows.parquet --student mlp --budget 3m
