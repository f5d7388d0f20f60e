package foxio

// scratchLen holds the text behind any but the oddest hash; longer texts move to
// the heap.
const scratchLen = 2048

// appendComma appends the separator that stands before every element but the
// first.
func appendComma(list []byte) []byte {
	if len(list) > 0 {
		return append(list, ',')
	}
	return list
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }
