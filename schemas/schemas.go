// Package schemas embeds the ClickHouse migrations that lie beside it, so that
// every program carries the schema it was built for.
package schemas

import "embed"

// ClickHouse holds the numbered migrations, clickhouse/NNNN_name.sql.
//
//go:embed clickhouse/*.sql
var ClickHouse embed.FS
