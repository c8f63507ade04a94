#!/bin/sh
# PostgreSQL runs this once, when its volume is empty: one database for each part of the stack.
set -eu
for name in mlflow mlflow_auth prefect; do
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres -c "create database $name"
done
