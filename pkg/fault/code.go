package fault

import "slices"

// System is who an error code belongs to.
type System uint8

// The systems with codes.
const (
	Kafka System = iota
	ClickHouse
)

// String returns the system's name.
func (s System) String() string {
	if s == ClickHouse {
		return "ClickHouse"
	}
	return "Kafka"
}

// Code is one error code.
type Code struct {
	System System
	Number int
	Name   string // as the system spells it; empty for a code that is in no table
	Class  Class
	// Hint tells an operator what to do, for codes of the class Configuration.
	Hint string
}

// Codes returns all codes that are known, Kafka's before ClickHouse's.
func Codes() []Code { return slices.Concat(kafkaCodes, clickHouseCodes) }

// Lookup returns the code of that number. One that is in no table is transient and
// has no name.
func Lookup(s System, number int) Code {
	table := kafkaCodes
	if s == ClickHouse {
		table = clickHouseCodes
	}
	i, ok := slices.BinarySearchFunc(table, number, func(c Code, n int) int { return c.Number - n })
	if !ok {
		return Code{System: s, Number: number}
	}
	return table[i]
}
