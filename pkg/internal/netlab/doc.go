// Package netlab makes small networks of namespaces for tests that need real
// interfaces, servers and clients:
//
//	namespace client               namespace server
//	lo, client0 192.0.2.1/24 ───── server0 192.0.2.2/24, lo
//	            2001:db8::1/64     2001:db8::2/64
//
// They have names of their own, so tests run side by side, and go with the
// test. Root is needed: without it a test is skipped, under CI=true it fails.
package netlab
