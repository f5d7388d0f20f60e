package assemble

import (
	"testing"
	"unsafe"
)

// What is longer than 32 KiB is rounded up to the next size of the allocator, what is
// shorter wastes the rest.
func TestSlabsFill32KiB(t *testing.T) {
	t.Parallel()
	const room = 32 << 10
	for name, slab := range map[string]struct{ n, size uintptr }{
		"payload": {payloadSlab, unsafe.Sizeof(payload{})}, "TLS": {stateSlab, unsafe.Sizeof(tlsState{})}, "HTTP": {webSlab, unsafe.Sizeof(webState{})},
	} {
		if slab.n != room/slab.size {
			t.Errorf("%s: a slab has %d of %d bytes, %d fit", name, slab.n, slab.size, room/slab.size)
		}
	}
}
