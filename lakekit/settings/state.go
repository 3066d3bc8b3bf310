package settings

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"taxilake/lakekit/internal/atomicfile"
)

// Role is one of the services, by the name of the lakekit command that runs the
// embedded one.
type Role string

// The services, in the order in which they are started.
const (
	Broker   Role = "broker"
	Store    Role = "oss"
	Workshop Role = "server"
)

// AllRoles are all services in the order in which they are started.
var AllRoles = []Role{Broker, Store, Workshop}

// Roles are the services that are processes of this kit; the others are looked
// after elsewhere.
func (s *Settings) Roles() []Role {
	if s.Profile == Embedded {
		return AllRoles
	}
	return []Role{Workshop}
}

// Process is what a running service tells about itself below the state folder.
type Process struct {
	PID     int       `json:"pid"`
	Address string    `json:"address"` // host:port on loopback
	Started time.Time `json:"started"`
}

// RunFile is the path of one of a role's files: "json" for what Process holds,
// "lock" for the file locked as long as the process lives.
func RunFile(state string, role Role, extension string) string {
	return filepath.Join(state, "run", string(role)+"."+extension)
}

// LogFile is where a service writes its log.
func LogFile(state string, role Role) string {
	return filepath.Join(state, "log", string(role)+".log")
}

// ReadProcess reads what the service last wrote of itself: fs.ErrNotExist when
// it was never started. The process may have ended since.
func ReadProcess(state string, role Role) (Process, error) {
	var p Process
	return p, readJSON(RunFile(state, role, "json"), &p)
}

// WriteProcess lets the others find the service.
func WriteProcess(state string, role Role, p Process) error {
	return writeJSON(atomicfile.Replace, RunFile(state, role, "json"), p)
}

type secrets struct {
	Token           string `json:"token"`
	AccessKeyID     string `json:"access_key_id"`
	AccessKeySecret string `json:"access_key_secret"`
}

func secretsFile(state string) string { return filepath.Join(state, "secrets.json") }

func readSecrets(state string) (secrets, error) {
	var s secrets
	err := readJSON(secretsFile(state), &s)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err == nil && (s.Token == "" || s.AccessKeyID == "" || s.AccessKeySecret == ""):
		err = fmt.Errorf("reading the state folder: %s %w (it has not all that belongs into it)", secretsFile(state), errDamaged)
	}
	if errors.Is(err, errDamaged) {
		err = fmt.Errorf("%w: delete that file, run `lakekit down` and `lakekit up`; the data stays", err)
	}
	return s, err
}

var errDamaged = errors.New("is damaged")

// CreateSecrets makes the random token and keys of a new state folder; those of
// an old one stay.
func CreateSecrets(state string) error {
	if _, err := os.Stat(secretsFile(state)); err == nil {
		return nil
	}
	fresh := secrets{
		Token:           rand.Text(),
		AccessKeyID:     "LTAI" + rand.Text()[:16],
		AccessKeySecret: rand.Text(),
	}
	// Of several who make them at once, the first wins.
	err := writeJSON(atomicfile.Create, secretsFile(state), fresh)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the state folder: %w: LAKEKIT_STATE says which folder it is, and it must be yours", err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading the state folder: %s %w (%w)", path, errDamaged, err)
	}
	return nil
}

type place func(path string, mode fs.FileMode, write func(io.Writer) error) error

// writeJSON writes a file for its owner's eyes only.
func writeJSON(put place, path string, v any) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = put(path, 0o600, atomicfile.JSON(v))
	}
	if err != nil {
		return fmt.Errorf("writing the state folder: %w: make it writable, or name another one in LAKEKIT_STATE", err)
	}
	return nil
}
