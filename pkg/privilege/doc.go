// Package privilege gives up what a process may do beyond its work. It acts on all
// threads, and does not need cgo.
package privilege
