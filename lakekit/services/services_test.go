package services_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"taxilake/lakekit/services"
	"taxilake/lakekit/settings"
)

// TestMain lets this test binary be the lakekit program: started with a role,
// it claims the role and answers just enough to be taken for the service.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && filepath.Base(os.Args[0]) == "lakekit" {
		if err := pretend(settings.Role(os.Args[1])); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func pretend(role settings.Role) error {
	if os.Getenv("PRETEND_TO_BE_BROKEN") == string(role) {
		return errors.New("broken on purpose")
	}
	claim, err := services.Claim(os.Getenv("LAKEKIT_STATE"), role)
	if err != nil {
		return err
	}
	listener, err := claim.Listen("127.0.0.1")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	answer(role, listener)
	if err := claim.Ready(listener.Addr().String()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// answer is what a service's probe wants.
func answer(role settings.Role, listener net.Listener) {
	if role == settings.Broker {
		go answerApiVersions(listener)
	} else {
		go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("x-oss-request-id", "1") }))
	}
}

func answerApiVersions(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err == nil {
			request := make([]byte, binary.BigEndian.Uint32(size[:]))
			io.ReadFull(conn, request)
			conn.Write(append([]byte{0, 0, 0, 6}, append(request[4:8:8], 0, 0)...))
		}
		conn.Close()
	}
}

func newSettings(t *testing.T) *settings.Settings {
	t.Helper()
	home := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, ".bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(home, ".bin", "lakekit")
	if err := os.Link(self, program); err != nil {
		data, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &settings.Settings{Profile: settings.Embedded, Home: home, State: filepath.Join(home, ".lakekit")}
	t.Cleanup(func() {
		if err := services.Down(context.Background(), s, func(string) {}); err != nil {
			t.Error(err)
		}
	})
	return s
}

type report []string

func (r *report) add(line string) { *r = append(*r, line) }

func states(s *settings.Settings) string {
	var all []string
	for _, status := range services.Statuses(s) {
		all = append(all, fmt.Sprintf("%s %s", status.Role, status.State))
	}
	return strings.Join(all, ", ")
}

const (
	allRunning = "broker running, oss running, server running"
	allStopped = "broker stopped, oss stopped, server stopped"
)

func TestUpAndDown(t *testing.T) {
	s := newSettings(t)
	if got := states(s); got != allStopped {
		t.Fatalf("before up: %s", got)
	}
	var first, second report
	if err := services.Up(t.Context(), s, first.add); err != nil {
		t.Fatal(err)
	}
	if got := states(s); got != allRunning {
		t.Fatalf("after up: %s", got)
	}
	pids := map[int]bool{}
	for _, status := range services.Statuses(s) {
		pids[status.PID] = true
		if status.Memory <= 0 || !strings.HasPrefix(status.Address, "127.0.0.1:") {
			t.Errorf("status %+v", status)
		}
	}
	if err := services.Up(t.Context(), s, second.add); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(second, "\n"); strings.Count(got, "already running") != 3 {
		t.Errorf("second up reported\n%s", got)
	}
	for _, status := range services.Statuses(s) {
		if !pids[status.PID] {
			t.Errorf("second up replaced the %s", status.Role)
		}
	}
	if err := services.Down(t.Context(), s, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got := states(s); got != allStopped {
		t.Errorf("after down: %s", got)
	}
}

func TestUpsAtOnceStartEachServiceOnce(t *testing.T) {
	s := newSettings(t)
	var ups sync.WaitGroup
	failures := make(chan error, 4)
	for range cap(failures) {
		ups.Go(func() { failures <- services.Up(context.Background(), s, func(string) {}) })
	}
	ups.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	if got := states(s); got != allRunning {
		t.Error(got)
	}
}

func TestKilledServiceIsNotTakenForRunningAndKeepsItsPort(t *testing.T) {
	s := newSettings(t)
	if err := services.Up(t.Context(), s, func(string) {}); err != nil {
		t.Fatal(err)
	}
	before := services.Statuses(s)[0]
	if err := services.Kill(s, settings.Broker); err != nil {
		t.Fatal(err)
	}
	if got := states(s); got != "broker stopped, oss running, server running" {
		t.Errorf("after the kill: %s", got)
	}
	if err := services.Up(t.Context(), s, func(string) {}); err != nil {
		t.Fatal(err)
	}
	after := services.Statuses(s)[0]
	if after.Address != before.Address || after.PID == before.PID {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// A service that is neither up nor gone holds its claim and does not answer. The
// test is that process, and goes on when up says that it waits.
func TestUpWaitsForWhatIsStartingOrEnding(t *testing.T) {
	for _, role := range settings.AllRoles {
		t.Run(string(role)+" ends", func(t *testing.T) {
			s := newSettings(t)
			claim, err := services.Claim(s.State, role)
			if err != nil {
				t.Fatal(err)
			}
			defer claim.Release() // before the cleanup asks the claim's holder to end
			var told report
			err = services.Up(t.Context(), s, func(line string) {
				told.add(line)
				if strings.Contains(line, "waiting for") {
					claim.Release()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%-7s waiting for process %d, which is starting or ending", role, os.Getpid())
			if !slices.Contains(told, want) {
				t.Errorf("up reported %q, want %q among it", told, want)
			}
			if got := states(s); got != allRunning {
				t.Error(got)
			}
		})
		t.Run(string(role)+" starts", func(t *testing.T) {
			s := newSettings(t)
			claim, err := services.Claim(s.State, role)
			if err != nil {
				t.Fatal(err)
			}
			defer claim.Release()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			var told report
			err = services.Up(t.Context(), s, func(line string) {
				told.add(line)
				if strings.Contains(line, "waiting for") {
					answer(role, listener)
					if err := claim.Ready(listener.Addr().String()); err != nil {
						t.Error(err)
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%-7s already running at %s", role, listener.Addr()); !slices.Contains(told, want) {
				t.Errorf("up reported %q, want %q among it", told, want)
			}
		})
	}
}

func TestUpFindsThePortOfAKilledServiceAgain(t *testing.T) {
	s := newSettings(t)
	former, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer former.Close()
	go func() { // a process that ends answers nothing
		for {
			conn, err := former.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	claim, err := services.Claim(s.State, settings.Store)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	if err := claim.Ready(former.Addr().String()); err != nil {
		t.Fatal(err)
	}
	// The lock goes first, the port when up has gone on to wait for it.
	err = services.Up(t.Context(), s, func(line string) {
		if strings.Contains(line, "waiting for") {
			claim.Release()
			go former.Close()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if status := services.Statuses(s)[1]; status.Address != former.Addr().String() {
		t.Errorf("the store is at %s, want %s", status.Address, former.Addr())
	}
}

func TestUpDoesNotWaitForEver(t *testing.T) {
	tests := []struct {
		name  string
		block func(t *testing.T, state string) (free func())
		want  []string
	}{
		{"for a service that hangs", func(t *testing.T, state string) func() {
			claim, err := services.Claim(state, settings.Store)
			if err != nil {
				t.Fatal(err)
			}
			return claim.Release
		}, []string{fmt.Sprintf("starting the oss: process %d holds", os.Getpid()), "oss.lock", "`lakekit down`"}},
		{"for another up", func(t *testing.T, state string) func() {
			path := filepath.Join(state, "run", "turn.lock")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			return func() { f.Close() }
		}, []string{"another `lakekit up` or `lakekit down` still holds", "turn.lock"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSettings(t)
			free := test.block(t, s.State)
			defer free()
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			waits := 0
			err := services.Up(ctx, s, func(line string) {
				if strings.Contains(line, "waiting for") {
					waits++
					giveUp()
				}
			})
			if waits != 1 {
				t.Errorf("up said %d times that it waits, want once", waits)
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestStaleStateNamesNobodysProcess(t *testing.T) {
	s := newSettings(t)
	// What a machine that lost its power leaves: a process id that now belongs
	// to somebody else, here to this test.
	stale := settings.Process{PID: os.Getpid(), Address: "127.0.0.1:1", Started: time.Now()}
	if err := settings.WriteProcess(s.State, settings.Store, stale); err != nil {
		t.Fatal(err)
	}
	if got := states(s); got != allStopped {
		t.Errorf("stale state: %s", got)
	}
	if err := services.Down(t.Context(), s, func(string) {}); err != nil {
		t.Error(err) // and this test is still alive
	}
	if err := services.Up(t.Context(), s, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got := states(s); got != allRunning {
		t.Errorf("after up: %s", got)
	}
}

func TestDamagedAddressDoesNotLockAnybodyOut(t *testing.T) {
	s := newSettings(t)
	if err := services.Up(t.Context(), s, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings.RunFile(s.State, settings.Broker, "json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := services.Down(t.Context(), s, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := services.Up(t.Context(), s, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got := states(s); got != allRunning {
		t.Error(got)
	}
}

func TestClaimIsExclusive(t *testing.T) {
	state := t.TempDir()
	claim, err := services.Claim(state, settings.Store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := services.Claim(state, settings.Store); !errors.Is(err, services.ErrRunning) {
		t.Errorf("second claim: %v", err)
	}
	claim.Release()
	again, err := services.Claim(state, settings.Store)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	again.Release()
}

func TestTakenPortIsReplaced(t *testing.T) {
	claim, err := services.Claim(t.TempDir(), settings.Store)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	for range 2 { // the usual port is taken by the first round at the latest
		listener, err := claim.Listen("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if host, _, _ := net.SplitHostPort(listener.Addr().String()); host != "127.0.0.1" {
			t.Errorf("listens on %s", host)
		}
	}
}

func TestServiceThatEndsAtOnceShowsItsLog(t *testing.T) {
	s := newSettings(t)
	t.Setenv("PRETEND_TO_BE_BROKEN", "oss")
	err := services.Up(t.Context(), s, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "broken on purpose") || !strings.Contains(err.Error(), "oss.log") {
		t.Errorf("error %v", err)
	}
}

func TestProgramNotBuilt(t *testing.T) {
	s := &settings.Settings{Home: t.TempDir()}
	if _, err := services.Program(s); err == nil || !strings.Contains(err.Error(), "make setup") {
		t.Errorf("error %v", err)
	}
}
