# Real Kafka and ClickHouse on this machine, without Docker (deploy/local).
# Set PARTS=kafka or PARTS=clickhouse for one of them, FLAGS=--free-ports for
# other than the fixed ports.

LOCAL := ./deploy/local/local.sh

.PHONY: up down status

up: ## start Kafka and ClickHouse on this machine (state in .local/, addresses in .local/env)
	@$(LOCAL) up $(FLAGS) $(PARTS)

down: ## stop what `make up` started; the data stay
	@$(LOCAL) down $(PARTS)

status: ## say what runs, where, and how the last run ended
	@$(LOCAL) status $(PARTS)
