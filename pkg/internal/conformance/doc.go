// Command conformance runs every capture that other analysers' results exist for
// through Trench and compares, value by value:
//
//	go run ./pkg/internal/conformance [-o docs/conformance.md] [-only REF] [-v]
//
// The captures and the results lie in the corpus (see pkg/internal/corpus), below
// golden. Package reference turns the results into expectations; each expectation is
// matched with a row of Trench, and what differs needs a cause in
// causes.yaml:
//
//	golden/… -> reader -> expectation --+
//	                                    +-> match -> tallies, differences -> causes.yaml -> document
//	captures -> app.Analysis -> rows ---+
//
// A flow is matched by capture, transport and its two ends in either direction, and
// where a pair of ends comes again, by order in time. The exit code is 1 when a
// difference has no cause, or a cause no difference.
package main
