package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/ingest"
	"taxilake/lakekit/internal/wait"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/services"
	"taxilake/lakekit/settings"
)

// site is a workshop that may be broken.
type site struct {
	ctx     context.Context
	options Options
	out     io.Writer
	began   time.Time
	state   string
	restore func() // the environment
	lab     *lakekit.Workshop
	ledger  ledger
	removed int64 // records that a drill took from the topic before they were read
}

const (
	// patience bounds each wait of a drill: what takes longer has failed.
	patience  = time.Minute
	pollEvery = 50 * time.Millisecond
	tellEvery = 2 * time.Second
)

// open starts services in a new state folder, and makes topic and table.
func open(ctx context.Context, o Options, out io.Writer) (*site, error) {
	state, err := os.MkdirTemp("", "lakekit-drill-*")
	if err != nil {
		return nil, err
	}
	s := &site{ctx: ctx, options: o, out: out, began: time.Now(), state: state, ledger: ledger{}}
	s.restore = setEnvironment(map[string]string{
		"LAKEKIT_STATE": state, "LAKEKIT_PROFILE": settings.Embedded, "LAKEKIT_WORKSPACE": "", "LAKEKIT_LISTEN": "",
		ingest.FailpointVariable: "",
	})
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.close(false))
	}
	return s, nil
}

func setEnvironment(values map[string]string) (restore func()) {
	type variable struct {
		name, value string
		set         bool
	}
	var before []variable
	for name, value := range values {
		old, set := os.LookupEnv(name)
		before = append(before, variable{name, old, set})
		os.Setenv(name, value)
	}
	return func() {
		for _, v := range before {
			if v.set {
				os.Setenv(v.name, v.value)
			} else {
				os.Unsetenv(v.name)
			}
		}
	}
}

func (s *site) start() error {
	if err := reservePorts(s.state); err != nil {
		return err
	}
	config, err := settings.Load()
	if err != nil {
		return err
	}
	s.say("a broker, an object store and a server of the drill's own start in %s", s.state)
	if err := services.Up(s.ctx, config, func(string) {}); err != nil {
		return err
	}
	lab, err := lakekit.Connect()
	if err != nil {
		return err
	}
	s.lab = lab.WithContext(s.ctx)
	if _, err := s.lab.CreateTopic(lakekit.TopicOptions{}); err != nil {
		return err
	}
	_, err = s.lab.CreateTable(lakekit.TableOptions{Properties: map[string]string{delta.AutoCompactKey: "true"}})
	return err
}

// reservePorts names ports that are free now, as if the services had had them
// before, so that the usual ones are left to the user's own workshop.
func reservePorts(state string) error {
	for _, role := range settings.AllRoles {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close() // together, so that they differ
		if err := settings.WriteProcess(state, role, settings.Process{Address: l.Addr().String()}); err != nil {
			return err
		}
	}
	return nil
}

// close ends the services, and deletes the state folder unless something in it
// may explain a failure.
func (s *site) close(clean bool) error {
	defer s.restore()
	config, err := settings.Load()
	if err != nil {
		return err
	}
	for _, status := range services.Statuses(config) {
		if status.PID != 0 {
			_ = syscall.Kill(status.PID, syscall.SIGCONT) // one that was left frozen could not end
		}
	}
	if err := services.Down(context.WithoutCancel(s.ctx), config, func(string) {}); err != nil {
		return err
	}
	if !clean && s.ctx.Err() == nil {
		return fmt.Errorf("logs and data of the drill stay in %s", s.state)
	}
	return os.RemoveAll(s.state)
}

// say tells a step, with the time since the drill began.
func (s *site) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%7.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// until waits, and tells now and then how far the table is.
func (s *site) until(what string, reached func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	for told := time.Now(); ; {
		done, err := reached()
		if done || err != nil {
			return err
		}
		if time.Since(told) >= tellEvery {
			told = time.Now()
			s.say("  %s rows in the table; waiting until %s", s.rows(), what)
		}
		select {
		case <-ctx.Done():
			if s.ctx.Err() != nil {
				return s.ctx.Err()
			}
			return fmt.Errorf("waited %v in vain until %s", patience, what)
		case <-time.After(pollEvery):
		}
	}
}

// rows counts those of the table, without the server.
func (s *site) rows() string {
	table, err := s.openTable(s.config().Table)
	if err != nil {
		return "?"
	}
	snapshot, err := table.Snapshot(s.ctx)
	if err != nil {
		return "?"
	}
	return number(snapshot.NumRecords())
}

func (s *site) config() *settings.Settings { return s.lab.Settings() }

func (s *site) kafka() kafka.Config { return kafka.Config(s.config().Kafka) }

// number writes 1234567 as 1,234,567.
func number(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// stream starts the course's streaming query, or one that was stopped.
func (s *site) stream() error {
	_, err := s.lab.StartStream(s.streamOptions())
	return err
}

// streamOptions make many small batches, so that a fault meets one.
func (s *site) streamOptions() lakekit.StreamOptions {
	return lakekit.StreamOptions{Trigger: "50 milliseconds", MaxOffsetsPerTrigger: max(1, s.options.Records/20)}
}

// traffic begins to produce.
func (s *site) traffic(records int64) (*lakekit.Traffic, error) {
	s.say("%s records are produced, %s a second", number(records), number(int64(s.options.Rate)))
	return s.lab.StartTraffic(lakekit.TrafficOptions{Records: records, Rate: s.options.Rate})
}

// produced waits until all records of a run are acknowledged.
func (s *site) produced(t *lakekit.Traffic) error {
	var last api.TrafficProgress
	err := s.until("the traffic ends", func() (bool, error) {
		var err error
		last, err = t.Progress()
		return last.State != api.TrafficRunning && last.State != api.TrafficWaiting, err
	})
	if err == nil && last.State != api.TrafficFinished {
		err = fmt.Errorf("the traffic ended: %s %s %s", last.State, last.Message, last.FirstError)
	}
	if err == nil {
		s.say("all traffic is acknowledged by the broker")
	}
	return err
}

// finished waits until all records of a run are in the table.
func (s *site) finished(t *lakekit.Traffic) error {
	if err := s.produced(t); err != nil {
		return err
	}
	return s.drained()
}

// reach waits until the table has so many rows.
func (s *site) reach(rows int64) error {
	table, err := s.openTable(s.config().Table)
	if err != nil {
		return err
	}
	return s.until(fmt.Sprintf("it has %s", number(rows)), func() (bool, error) {
		snapshot, err := table.Snapshot(s.ctx)
		if err != nil {
			return false, err
		}
		return snapshot.NumRecords() >= rows, nil
	})
}

// drained waits until the stream has taken all of the topic.
func (s *site) drained() error {
	topic, err := s.lab.Topic()
	if err != nil {
		return err
	}
	ends := map[int32]int64{}
	for _, p := range topic.Partitions {
		ends[p.Partition] = p.LatestOffset
	}
	return s.until("the stream has taken all of the topic", func() (bool, error) {
		status, err := s.lab.Stream().Status()
		if err != nil || status.Error != "" {
			return false, errors.Join(err, asError(status.Error))
		}
		done, err := s.committed()
		if err != nil {
			return false, err
		}
		for partition, end := range ends {
			if done[partition] < end {
				return false, nil
			}
		}
		return true, nil
	})
}

// committed are the offsets up to which batches are in the table.
func (s *site) committed() (map[int32]int64, error) {
	list, err := s.lab.Stream().RecentProgress()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[len(list)-1].Sources[0].EndOffset[s.config().Topic], nil
}

func asError(message string) error {
	if message == "" {
		return nil
	}
	return errors.New(message)
}

// killed is kill -9 of a service.
func (s *site) killed(role settings.Role) error {
	s.say("kill -9 of the %s", names[role])
	return services.Kill(s.config(), role)
}

var names = map[settings.Role]string{settings.Broker: "broker", settings.Store: "object store", settings.Workshop: "server"}

// up brings killed services back.
func (s *site) up() error {
	began := time.Now()
	if _, err := s.lab.Up(); err != nil {
		return err
	}
	s.say("it is back after %.1f s", time.Since(began).Seconds())
	return nil
}

// frozen stops a process for a while (SIGSTOP): it keeps its connections and
// answers nothing, and then all at once.
func (s *site) frozen(role settings.Role, d time.Duration) error {
	status := s.status(role)
	if status.PID == 0 {
		return fmt.Errorf("the %s is not running", names[role])
	}
	s.say("the %s is frozen for %v (kill -STOP)", names[role], d)
	if err := syscall.Kill(status.PID, syscall.SIGSTOP); err != nil {
		return err
	}
	_ = wait.For(s.ctx, d) // its end is told below
	s.tellStream()
	s.say("the %s goes on (kill -CONT)", names[role])
	return errors.Join(syscall.Kill(status.PID, syscall.SIGCONT), s.ctx.Err())
}

func (s *site) status(role settings.Role) services.Status {
	all := services.Statuses(s.config())
	i := slices.IndexFunc(all, func(status services.Status) bool { return status.Role == role })
	return all[i]
}

// waiting waits until the stream says that it waits, and for what.
func (s *site) waiting() error {
	err := s.until("the stream notices", func() (bool, error) {
		status, err := s.lab.Stream().Status()
		return status.Waiting, err
	})
	if err == nil {
		s.tellStream()
	}
	return err
}

func (s *site) tellStream() {
	status, err := s.lab.Stream().Status()
	if err != nil {
		return
	}
	const width = 90
	message := strings.Join(strings.Fields(status.Message), " ")
	if len(message) > width {
		message = message[:width] + "..."
	}
	s.say("  the stream says: %s", message)
}

// upArmed brings the server back with a failpoint; died says that it met it
// before it answered, in a batch it found half done.
func (s *site) upArmed(point string) (died bool, err error) {
	os.Setenv(ingest.FailpointVariable, point)
	defer os.Setenv(ingest.FailpointVariable, "")
	_, err = s.lab.Up()
	if err != nil && strings.Contains(err.Error(), "signal: killed") {
		return true, nil
	}
	return false, err
}

func (s *site) tablePath(uri string) string {
	return filepath.Join(s.state, "oss", s.config().OSS.Bucket, filepath.FromSlash(strings.TrimPrefix(uri, "oss://"+s.config().OSS.Bucket+"/")))
}
