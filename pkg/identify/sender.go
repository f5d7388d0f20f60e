package identify

// Sender says what a message tells about who sent it.
type Sender uint8

// The senders. SenderUnknown is the zero value: both sides send such messages.
const (
	SenderUnknown Sender = iota
	SenderClient
	SenderServer
)
