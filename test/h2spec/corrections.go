package main

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/spec"
	"golang.org/x/net/http2"
)

// The module proxy has no release after 2.2.1. Releases up to 2.6.0 corrected three cases, and added one. The case of http2/3.5 is for
// servers that have no HTTP/1.1 on the same port.
func correct(group *spec.TestGroup) {
	switch group.ID() {
	case "http2/3.5":
		group.Tests[1].Run = invalidPreface
	case "http2/6.7":
		group.Tests[3].Run = pingOfWrongLength
	case "http2/6.9.2":
		group.Tests[0].Run = windowOpensAfterRequest
	case "hpack/5.2":
		group.Tests[2].Run = func(c *config.Config, conn *spec.Conn) error {
			// The value consists of EOS (30 bits) and of padding.
			return verifyDecodingError(c, conn, "\x00\x06x-test\x84\xff\xff\xff\xff")
		}
	case "hpack/2.3.3":
		group.AddTestCase(&spec.TestCase{
			Desc:        "Sends a literal header field representation with invalid index",
			Requirement: "The endpoint MUST treat this as a decoding error.",
			Run: func(c *config.Config, conn *spec.Conn) error {
				// The name has index 70 in a dynamic table that has fewer than nine fields.
				return verifyDecodingError(c, conn, "\x7f\x07\x00")
			},
		})
	}
}

// RFC 9113 section 3.4 allows to omit the GOAWAY frame. A server that speaks HTTP/1.1 too may answer with a status of it.
func invalidPreface(c *config.Config, conn *spec.Conn) error {
	if err := conn.Send([]byte("INVALID CONNECTION PREFACE\r\n\r\n")); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return &spec.TestError{Expected: []string{spec.ExpectedConnectionClosed}, Actual: err.Error()}
	}
	return nil
}

// In 2.2.1 the frame belongs to a stream too, which is another error.
func pingOfWrongLength(_ *config.Config, conn *spec.Conn) error {
	if err := conn.Handshake(); err != nil {
		return err
	}
	if err := conn.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 6)); err != nil {
		return err
	}
	return spec.VerifyConnectionError(conn, http2.ErrCodeFrameSize)
}

// 2.2.1 waits for the acknowledgement of the second SETTINGS frame, and loses a DATA frame that arrives before it.
func windowOpensAfterRequest(c *config.Config, conn *spec.Conn) error {
	length, err := spec.ServerDataLength(c)
	if err != nil {
		return err
	}
	if length < 1 {
		return spec.ErrSkipped
	}
	if err := conn.Handshake(); err != nil {
		return err
	}
	window := func(size uint32) error {
		return conn.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: size})
	}
	if err := window(0); err != nil {
		return err
	}
	if err := spec.VerifySettingsFrameWithAck(conn); err != nil {
		return err
	}
	if err := request(c, conn, ""); err != nil {
		return err
	}
	if err := window(1); err != nil {
		return err
	}
	event, _ := conn.WaitEventByType(spec.EventDataFrame)
	if data, ok := event.(spec.DataFrameEvent); ok && data.Header().Length == 1 {
		return nil
	}
	return &spec.TestError{Expected: []string{"DATA Frame (length:1, flags:0x00, stream_id:1)"}, Actual: fmt.Sprint(event)}
}

func verifyDecodingError(c *config.Config, conn *spec.Conn, field string) error {
	if err := conn.Handshake(); err != nil {
		return err
	}
	if err := request(c, conn, field); err != nil {
		return err
	}
	return spec.VerifyConnectionError(conn, http2.ErrCodeCompression)
}

// Sends a whole request on stream 1. The encoded field follows the usual ones.
func request(c *config.Config, conn *spec.Conn, field string) error {
	block := append(conn.EncodeHeaders(spec.CommonHeaders(c)), field...)
	return conn.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true, BlockFragment: block})
}
