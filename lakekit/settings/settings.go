package settings

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Embedded is the profile whose services are started by `lakekit up` on this
// machine and need nothing but this repository.
const Embedded = "embedded"

// Names of the course. A workspace goes before each of them.
const (
	TopicName      = "nyc_taxi_data"
	BucketName     = "lake"
	TableName      = "taxi_record"
	DeadLetterName = TableName + "_dead_letters"
)

// Settings says where the workshop's services are and what its topic, table
// and folders are called.
type Settings struct {
	Home      string // the repository
	State     string // everything the services keep: data, logs, addresses
	Profile   string
	Workspace string // prefix of a student's names on shared services, or ""
	TimeZone  string // session time zone of SQL

	Topic       string // Kafka topic
	Table       string // oss:// address of the Delta table
	Checkpoint  string // oss:// address of the streaming query's checkpoint
	DeadLetters string // oss:// address of the Delta table of refused records

	Kafka  map[string]string // librdkafka properties
	OSS    OSS
	Server Server
}

// OSS is the object store in the terms of the Aliyun SDK.
type OSS struct {
	Endpoint    string // http://127.0.0.1:9000
	Region      string
	Bucket      string
	AccessKeyID string
	Secret      Secret
	// LocalDir is the folder in which the embedded store keeps its buckets as
	// plain files, or "".
	LocalDir string
}

// Server is the workshop server.
type Server struct {
	URL   string // http://127.0.0.1:8080, or "" while it is not running
	Token Secret
}

// Secret is a text that no log, page or JSON shows. Reveal gives its value.
type Secret string

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

var workspaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// Load reads the settings that hold in the current folder. It fails when the
// folder is not inside the repository, and on values it cannot use; it does
// not ask whether the services answer.
func Load() (*Settings, error) {
	home, err := findHome()
	if err != nil {
		return nil, err
	}
	env, err := readEnvironment(filepath.Join(home, ".env"))
	if err != nil {
		return nil, err
	}
	s := &Settings{
		Home:      home,
		State:     env.get("LAKEKIT_STATE", filepath.Join(home, ".lakekit")),
		Profile:   env.get("LAKEKIT_PROFILE", Embedded),
		Workspace: env.get("LAKEKIT_WORKSPACE", ""),
		TimeZone:  env.get("LAKEKIT_TIMEZONE", "UTC"),
	}
	if !filepath.IsAbs(s.State) { // the same folder from wherever it is asked for
		s.State = filepath.Join(home, s.State)
	}
	if _, err := time.LoadLocation(s.TimeZone); err != nil {
		return nil, fmt.Errorf("LAKEKIT_TIMEZONE=%q is not a time zone; use a name such as UTC or America/New_York", s.TimeZone)
	}
	if s.Profile != Embedded {
		return nil, fmt.Errorf("LAKEKIT_PROFILE=%q is not a profile of this kit; it has: %s", s.Profile, Embedded)
	}
	if s.Workspace != "" && !workspaceName.MatchString(s.Workspace) {
		return nil, fmt.Errorf("LAKEKIT_WORKSPACE=%q cannot be used in topic and folder names; use up to 31 small letters, digits and hyphens, such as alice", s.Workspace)
	}
	s.nameThings()
	return s, s.readEmbedded()
}

func (s *Settings) nameThings() {
	s.OSS.Bucket = BucketName
	topicPrefix, keyPrefix := "", ""
	if s.Workspace != "" {
		topicPrefix, keyPrefix = s.Workspace+".", s.Workspace+"/"
	}
	s.Topic = topicPrefix + TopicName
	s.Table = s.uri(keyPrefix + "delta/" + TableName)
	s.DeadLetters = s.uri(keyPrefix + "delta/" + DeadLetterName)
	s.Checkpoint = s.uri(keyPrefix + "checkpoints/" + TableName)
}

func (s *Settings) uri(key string) string { return "oss://" + s.OSS.Bucket + "/" + key }

// TableURI is the address of a table given by its name or by its address.
func (s *Settings) TableURI(nameOrURI string) string {
	if strings.Contains(nameOrURI, "/") {
		return strings.TrimSuffix(nameOrURI, "/")
	}
	return s.Table[:strings.LastIndexByte(s.Table, '/')+1] + nameOrURI
}

// readEmbedded fills in what the running services have written.
func (s *Settings) readEmbedded() error {
	s.OSS.LocalDir = filepath.Join(s.State, "oss")
	s.OSS.Region = "local"
	secrets, err := readSecrets(s.State)
	if err != nil {
		return fmt.Errorf("%w: delete that file, run `lakekit down` and `lakekit up`; the data stays", err)
	}
	s.OSS.AccessKeyID, s.OSS.Secret, s.Server.Token = secrets.AccessKeyID, Secret(secrets.AccessKeySecret), Secret(secrets.Token)
	addresses := map[Role]string{}
	for _, role := range Roles {
		// What a crash has damaged is as good as absent: whether a service
		// lives, only its lock tells.
		if process, err := ReadProcess(s.State, role); err == nil {
			addresses[role] = process.Address
		}
	}
	s.Kafka = map[string]string{"bootstrap.servers": addresses[Broker]}
	if a := addresses[Store]; a != "" {
		s.OSS.Endpoint = "http://" + a
	}
	if a := addresses[Workshop]; a != "" {
		s.Server.URL = "http://" + a
	}
	return nil
}

// findHome walks up from the working folder to the repository, so that a
// notebook, a script and a shell anywhere inside it mean the same workshop.
func findHome() (string, error) {
	if home := os.Getenv("LAKEKIT_HOME"); home != "" {
		if !isHome(home) {
			return "", fmt.Errorf("LAKEKIT_HOME=%s is not the taxilake repository: its go.mod is not there", home)
		}
		return filepath.Abs(home)
	}
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if isHome(dir) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside the taxilake repository: change into it, or set LAKEKIT_HOME to its folder", start)
		}
	}
}

func isHome(dir string) bool {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(mod), "module taxilake\n")
}

// names are the settings that there are.
var names = []string{"LAKEKIT_HOME", "LAKEKIT_STATE", "LAKEKIT_PROFILE", "LAKEKIT_WORKSPACE", "LAKEKIT_TIMEZONE"}

type environment map[string]string

// get prefers the process's environment over the file.
func (e environment) get(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	if v := e[name]; v != "" {
		return v
	}
	return otherwise
}

// readEnvironment reads NAME=value lines as docker compose does: # comments, also
// after a value, an optional export, optional quotes around the value. Variables
// and ~ are not expanded, and refused rather than taken for names of folders.
func readEnvironment(path string) (environment, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	defer f.Close()
	env := environment{}
	text := bufio.NewReader(f)
	if mark, err := text.Peek(3); err == nil && string(mark) == "\ufeff" {
		text.Discard(len(mark))
	}
	lines := bufio.NewScanner(text)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export "))
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		switch {
		case !found || name == "":
			return nil, fmt.Errorf("reading settings: %s line %d: want NAME=value", path, n)
		case strings.HasPrefix(name, "LAKEKIT_") && !slices.Contains(names, name):
			return nil, fmt.Errorf("reading settings: %s line %d: there is no setting %s; there are %s", path, n, name, strings.Join(names, ", "))
		}
		value = plain(strings.TrimSpace(value))
		if strings.HasPrefix(value, "~") || strings.Contains(value, "$") {
			return nil, fmt.Errorf("reading settings: %s line %d: ~ and $ are not expanded here: write the value of %s in full", path, n, name)
		}
		env[name] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading settings: %s: %w", path, err)
	}
	return env, nil
}

// plain takes the quotes off a value, or the comment behind one without quotes.
func plain(value string) string {
	if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		return value[1 : len(value)-1]
	}
	if comment := strings.Index(value, " #"); comment >= 0 {
		return strings.TrimSpace(value[:comment])
	}
	return value
}
