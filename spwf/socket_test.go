package spwf_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/spwf"
)

// echoSocket answers socket commands for socket 0 and echoes what is written.
func echoSocket() (*fake, *[]byte) {
	held := new([]byte)
	f := &fake{answers: map[string]string{"AT+S.SOCKON": "\r\n ID: 00\r\n" + ok}}
	f.on = map[string]func(*fake, string, []byte){
		"AT+S.SOCKW": func(f *fake, _ string, p []byte) {
			*held = append(*held, p...)
			f.print(ok + wind(55, fmt.Sprintf("Pending Data:0:%d", len(*held))))
		},
		"AT+S.SOCKQ": func(f *fake, _ string, _ []byte) {
			f.print(fmt.Sprintf(" DATALEN: %d\r\n", len(*held)) + ok)
		},
		"AT+S.SOCKR": func(f *fake, command string, _ []byte) {
			var id, n int
			if _, err := fmt.Sscanf(command, "AT+S.SOCKR=%d,%d", &id, &n); err != nil || n > len(*held) {
				f.print(refuse("Not enough data in buffer"))
				return
			}
			answer := string((*held)[:n]) + ok
			*held = (*held)[n:]
			f.print(answer)
		},
		"AT+S.SOCKC": func(f *fake, _ string, _ []byte) {
			if len(*held) > 0 {
				f.print(refuse("Pending data"))
				return
			}
			f.print(ok)
		},
	}
	return f, held
}

func TestSocketEcho(t *testing.T) {
	// 1000 binary bytes with every trap of the framing in them.
	data := []byte("\r\nOK\r\n\r\n+WIND:8:Hard Fault\r\n\r\nERROR: Pending data\r\nAT+S.SOCKR=00,1\r\x00\xff")
	for n := 0; len(data) < 1000; n++ {
		data = append(data, byte(n))
	}
	for _, chunk := range []int{0, 1, 7} {
		synctest.Test(t, func(t *testing.T) {
			f, held := echoSocket()
			start(t, f)
			f.chunk = chunk
			m := f.module(spwf.Options{})
			s, err := m.Open(t.Context(), "10.0.0.1", 8443, spwf.TLS)
			if err != nil || s.ID() != 0 {
				t.Fatalf("got %v, %v", s, err)
			}
			if n, err := s.Write(t.Context(), data); n != len(data) || err != nil {
				t.Fatalf("wrote %d, %v", n, err)
			}
			got := make([]byte, len(data))
			if _, err := s.ReadFull(t.Context(), got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, data) {
				t.Error("the echo differs")
			}
			*held = []byte("left over")
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			want := "AT+S.SOCKON=10.0.0.1,8443,s,ind|AT+S.SOCKW=00,730|AT+S.SOCKW=00,270|AT+S.SOCKQ=00|AT+S.SOCKR=00,1000|" +
				"AT+S.SOCKQ=00|AT+S.SOCKR=00,9|AT+S.SOCKQ=00|AT+S.SOCKC=00"
			if got := strings.Join(f.seen(), "|"); got != want {
				t.Errorf("commands\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestReadWaitsForData(t *testing.T) {
	for _, indicated := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f, held := echoSocket()
			start(t, f)
			m := f.module(spwf.Options{Poll: time.Minute})
			if !indicated {
				m = f.module(spwf.Options{Poll: 200 * time.Millisecond})
			}
			s, err := m.Open(t.Context(), "h", 1, spwf.TCP)
			if err != nil {
				t.Fatal(err)
			}
			f.on["AT+S.LATE"] = func(f *fake, _ string, _ []byte) {
				*held = []byte("late")
				if indicated {
					f.print(wind(55, "Pending Data:0:4"))
				}
			}
			time.AfterFunc(5*time.Second, func() { f.out <- []byte("AT+S.LATE\r") })
			began := time.Now()
			buf := make([]byte, 10)
			n, err := s.Read(t.Context(), buf)
			if err != nil || string(buf[:n]) != "late" {
				t.Fatalf("got %q, %v", buf[:n], err)
			}
			if took := time.Since(began); took < 5*time.Second || took > 5500*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestReadEndsWhenThePeerClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, held := echoSocket()
		start(t, f)
		m := f.module(spwf.Options{})
		f.print(wind(58, "Socket Closed:0")) // of an earlier socket
		s, err := m.Open(t.Context(), "h", 1, spwf.TCP)
		if err != nil {
			t.Fatal(err)
		}
		*held = []byte("bye")
		f.print(wind(58, "Socket Closed:0"))
		all, buf := "", make([]byte, 2)
		for {
			n, err := s.Read(t.Context(), buf)
			all += string(buf[:n])
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if all != "bye" {
			t.Errorf("got %q", all)
		}
		if _, err := s.ReadFull(t.Context(), buf); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		again, err := m.Open(t.Context(), "h", 1, spwf.TCP)
		if err != nil {
			t.Fatal(err)
		}
		*held = []byte("new")
		if n, err := again.Read(t.Context(), buf); n != 2 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

func TestAStaleCloseDoesNotEndANewSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, held := echoSocket()
		start(t, f)
		m := f.module(spwf.Options{})
		f.print(wind(58, "Socket Closed:0"))
		s, err := m.Open(t.Context(), "h", 1, spwf.TCP)
		if err != nil {
			t.Fatal(err)
		}
		f.on["AT+S.LATE"] = func(*fake, string, []byte) { *held = []byte("late") }
		time.AfterFunc(3*time.Second, func() { f.out <- []byte("AT+S.LATE\r") })
		if n, err := s.Read(t.Context(), make([]byte, 9)); n != 4 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

func TestARestartEndsTheWaitForData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := echoSocket()
		start(t, f)
		m := f.module(spwf.Options{})
		s, err := m.Open(t.Context(), "h", 1, spwf.TCP)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(3050*time.Millisecond, func() { f.print(bootText) })
		var reset *spwf.ResetError
		if _, err := s.Read(t.Context(), make([]byte, 9)); !errors.As(err, &reset) {
			t.Errorf("got %v", err)
		}
	})
}

func TestARefusedPayloadLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := echoSocket()
		start(t, f)
		f.on["AT+S.SOCKW"] = func(f *fake, _ string, _ []byte) {
			f.print(refuse("Illegal Socket ID"))
			// The module takes the payload for commands.
			time.AfterFunc(30*time.Millisecond, func() { f.print(refuse("Command not found") + ok) })
		}
		f.on["AT+S.SOCKQ"] = func(f *fake, _ string, _ []byte) {
			time.AfterFunc(40*time.Millisecond, func() { f.print(" DATALEN: 0\r\n" + ok) })
		}
		m := f.module(spwf.Options{})
		s, err := m.Open(t.Context(), "h", 1, spwf.TCP)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(t.Context(), []byte("AT+S.FOO\rAT\r")); !errors.Is(err, spwf.ReasonSocketID) {
			t.Errorf("got %v", err)
		}
		if n, err := s.Query(t.Context()); n != 0 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

func TestCountedReadWithSomethingInFront(t *testing.T) {
	table := []struct{ name, front string }{
		{"nothing", ""},
		{"indication on its way", wind(55, "Pending Data:0:5")},
		{"two of them", wind(55, "Pending Data:0:5") + wind(58, "Socket Closed:0")},
		{"echo", "AT+S.SOCKR=00,5\r"},
		{"indication, echo", wind(55, "Pending Data:0:5") + "AT+S.SOCKR=00,5\r"},
	}
	for _, row := range table {
		for _, chunk := range []int{0, 1} {
			t.Run(row.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, held := echoSocket()
					start(t, f)
					f.chunk = chunk
					f.on["AT+S.SOCKR"] = func(f *fake, _ string, _ []byte) { f.print(row.front + "a\r\nbc" + ok) }
					m := f.module(spwf.Options{})
					s, err := m.Open(t.Context(), "h", 1, spwf.TCP)
					if err != nil {
						t.Fatal(err)
					}
					*held = make([]byte, 5)
					buf := make([]byte, 5)
					n, err := s.Read(t.Context(), buf)
					if err != nil || string(buf[:n]) != "a\r\nbc" {
						t.Errorf("got %q, %v", buf[:n], err)
					}
					if err := m.At(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestCountedReadRefusedBrokenOrCutShort(t *testing.T) {
	table := []struct {
		name, answer string
		check        func(error) bool
	}{
		{"refused", refuse("Not enough data in buffer"), func(err error) bool { return errors.Is(err, spwf.ReasonNotEnoughData) }},
		{"refused behind an indication", wind(58, "Socket Closed:0") + refuse("Illegal Socket ID"), func(err error) bool { return errors.Is(err, spwf.ReasonSocketID) }},
		{"too many bytes", strings.Repeat("x", 600) + ok, func(err error) bool { return errors.Is(err, spwf.ErrFraming) }},
		{"hangs", "xxx", func(err error) bool {
			var silent *spwf.TimeoutError
			return errors.As(err, &silent) && silent.Limit == "read"
		}},
		{"restarts", "xxx\xff\x00" + wind(1, "Poweron (170111-665d284-SPWF01S)"), func(err error) bool {
			var reset *spwf.ResetError
			return errors.As(err, &reset)
		}},
		{"faults", "xxx" + wind(8, "Hard Fault") + "pc 08000000\r\n", func(err error) bool {
			var fault *spwf.FaultError
			return errors.As(err, &fault) && len(fault.Dump) == 1
		}},
	}
	for _, row := range table {
		for _, n := range []int{3, 500} {
			synctest.Test(t, func(t *testing.T) {
				f, held := echoSocket()
				start(t, f)
				f.on["AT+S.SOCKR"] = func(f *fake, _ string, _ []byte) { f.print(row.answer) }
				m := f.module(spwf.Options{})
				s, err := m.Open(t.Context(), "h", 1, spwf.TCP)
				if err != nil {
					t.Fatal(err)
				}
				*held = make([]byte, n)
				_, err = s.Read(t.Context(), make([]byte, n))
				if err == nil || !row.check(err) {
					t.Errorf("%s, %d bytes: got %v", row.name, n, err)
				}
				if err := m.Sync(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestCloseAgainstAStreamingPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := echoSocket()
		start(t, f)
		f.on["AT+S.SOCKQ"] = func(f *fake, _ string, _ []byte) { f.print(" DATALEN: 1\r\n" + ok) }
		f.on["AT+S.SOCKR"] = func(f *fake, _ string, _ []byte) { f.print("x" + ok) }
		f.on["AT+S.SOCKC"] = func(f *fake, _ string, _ []byte) { f.print(refuse("Pending data")) }
		m := f.module(spwf.Options{})
		s, err := m.Open(t.Context(), "h", 1, spwf.TCP)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); !errors.Is(err, spwf.ErrStillPending) {
			t.Errorf("got %v", err)
		}
	})
}
