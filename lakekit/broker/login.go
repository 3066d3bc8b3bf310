package broker

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SASL mechanisms of a User.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// User may log in, with one mechanism. A super user may do everything, others
// what ACLs allow. The users of Options are those of a new folder: a folder
// keeps them, with the users and ACLs that clients make (SCRAM only).
type User struct {
	Mechanism      string // default ScramSHA512
	Name, Password string
	Super          bool
}

func accessControl(users []User) []kfake.Opt {
	if len(users) == 0 {
		return nil
	}
	options := []kfake.Opt{kfake.EnableSASL(), kfake.EnableACLs()}
	for _, u := range users {
		if u.Mechanism == "" {
			u.Mechanism = ScramSHA512
		}
		if u.Super {
			options = append(options, kfake.Superuser(u.Mechanism, u.Name, u.Password))
		} else {
			options = append(options, kfake.User(u.Mechanism, u.Name, u.Password))
		}
	}
	return options
}

// answerRefusedLogins answers a wrong PLAIN login as Kafka does. kfake ends the
// connection, from which a client cannot tell the cause; with SCRAM, whose
// exchange only kfake can check, it still does.
func answerRefusedLogins(c *kfake.Cluster, users []User) {
	passwords := map[string]string{}
	for _, u := range users {
		if u.Mechanism == Plain {
			passwords[u.Name] = u.Password
		}
	}
	control(c, kmsg.SASLAuthenticate, func(r kmsg.Request) (kmsg.Response, error) {
		login := bytes.Split(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, []byte{0}) // RFC 4616: authzid, authcid, passwd
		if len(login) != 3 {
			return nil, nil
		}
		if password, known := passwords[string(login[1])]; known && password == string(login[2]) {
			return nil, nil
		}
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		resp.ErrorMessage = kmsg.StringPtr("Authentication failed: Invalid username or password")
		return resp, nil
	})
}
