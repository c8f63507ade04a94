stillhouse data describe patients.csv --target outcome
stillhouse init --data patients.csv --target outcome
stillhouse run
