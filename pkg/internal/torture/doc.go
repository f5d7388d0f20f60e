// Package torture shows that nothing is lost and nothing is shown twice while
// everything fails. Its test, run with -tags e2e, feeds capture files at a steady
// rate to the four services with a real Kafka and a real ClickHouse, does harm, and
// holds what is in the table afterwards against what `trench analyze` says of the
// same files:
//
//	Traffic ─► files ─► capture ─► Kafka ─► features, scoring ─► sink ─► ClickHouse ─► Ledger
//	              │                  └── Proxy ──┴── Fleet kills ─┴── Proxy ──┘            ▲
//	              └──────────────────────────► trench analyze ────────────────────────────┘
//
// A run is a list of phases. In each, files come in while one kind of harm is
// done; then the feed stops, and everything must arrive. A phase holds when
//
//	flows captured = rows + dead letters of flows + counted drops
//
// with no row missing, none shown twice and none different in any column.
package torture
