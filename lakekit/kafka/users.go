package kafka

import (
	"context"
	"errors"
	"fmt"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/internal/wait"
)

// ErrUserName is returned for a user or prefix that CreateUser or AllowPrefix
// does not take.
var ErrUserName = errors.New("bad name")

// scramIterations is Kafka's own default (kafka-configs.sh).
const scramIterations = 4096

// CreateUser lets name log in with the password by SCRAM-SHA-512, and returns
// when the cluster knows it. A user that exists gets the password. A new user
// may do nothing yet, see AllowPrefix. Confluent Cloud makes its users, API
// keys, by other ways and refuses this.
func (a *Admin) CreateUser(ctx context.Context, name, password string) error {
	if err := checkUserName(name); err != nil {
		return err
	}
	if password == "" {
		return fmt.Errorf("create user %s: its password is empty: choose one", name)
	}
	ctx, end := a.begin(ctx)
	defer end()
	answers, err := a.client.AlterUserScramCredentials(ctx, []confluent.UserScramCredentialUpsertion{{
		User:                name,
		ScramCredentialInfo: confluent.ScramCredentialInfo{Iterations: scramIterations, Mechanism: confluent.ScramMechanismSHA512},
		Password:            []byte(password),
	}}, nil)
	if err == nil {
		err = orNil(answers.Errors[name])
	}
	if err != nil {
		return a.failed(err, "create user %s", name)
	}
	for { // the broker learns of it from the controller
		known, err := a.client.DescribeUserScramCredentials(ctx, []string{name})
		if err == nil {
			err = orNil(known.Descriptions[name].Error)
		}
		if err == nil {
			return nil
		}
		if !isCode(err, confluent.ErrResourceNotFound) || wait.For(ctx, pollInterval) != nil {
			return a.failed(err, "wait for user %s", name)
		}
	}
}

// prefixOperations are all that lakekit does with a topic.
var prefixOperations = []confluent.ACLOperation{
	confluent.ACLOperationCreate, confluent.ACLOperationDescribe, confluent.ACLOperationRead, confluent.ACLOperationWrite,
	confluent.ACLOperationDelete, confluent.ACLOperationAlter, confluent.ACLOperationAlterConfigs, confluent.ACLOperationDescribeConfigs,
}

// AllowPrefix lets the user do what it likes with the topics, and read with the
// consumer groups, whose names begin with prefix, by ACLs of pattern type
// PREFIXED. End it with a dot: "al" is a prefix of "alice." too. What the user
// was allowed before remains, a second call changes nothing. It needs a cluster
// with an authorizer.
func (a *Admin) AllowPrefix(ctx context.Context, user, prefix string) error {
	if err := checkUserName(user); err != nil {
		return err
	}
	if !topicName.MatchString(prefix) {
		return fmt.Errorf("%w: prefix %q of topics: 1 to 249 letters a-z and A-Z, digits, '.', '_' and '-'", ErrUserName, prefix)
	}
	allow := func(of confluent.ResourceType, operation confluent.ACLOperation) confluent.ACLBinding {
		return confluent.ACLBinding{
			Type: of, Name: prefix, ResourcePatternType: confluent.ResourcePatternTypePrefixed,
			Principal: "User:" + user, Host: "*", Operation: operation, PermissionType: confluent.ACLPermissionTypeAllow,
		}
	}
	bindings := confluent.ACLBindings{allow(confluent.ResourceGroup, confluent.ACLOperationRead)}
	for _, operation := range prefixOperations {
		bindings = append(bindings, allow(confluent.ResourceTopic, operation))
	}
	ctx, end := a.begin(ctx)
	defer end()
	answers, err := a.client.CreateACLs(ctx, bindings)
	for _, answer := range answers {
		if err == nil {
			err = orNil(answer.Error)
		}
	}
	if err != nil {
		return a.failed(err, "allow user %s the topics %s*", user, prefix)
	}
	return a.awaitACLs(ctx, user, prefix, len(bindings))
}

// awaitACLs returns when the broker has learnt of so many from the controller.
func (a *Admin) awaitACLs(ctx context.Context, user, prefix string, n int) error {
	for {
		known, err := a.client.DescribeACLs(ctx, confluent.ACLBindingFilter{
			Type: confluent.ResourceAny, Name: prefix, ResourcePatternType: confluent.ResourcePatternTypePrefixed,
			Principal: "User:" + user, Host: "*", Operation: confluent.ACLOperationAny, PermissionType: confluent.ACLPermissionTypeAllow,
		})
		if err == nil {
			err = orNil(known.Error)
		}
		if err == nil && len(known.ACLBindings) >= n {
			return nil
		}
		if err == nil {
			err = wait.For(ctx, pollInterval)
		}
		if err != nil {
			return a.failed(err, "wait until user %s is allowed the topics %s*", user, prefix)
		}
	}
}

// checkUserName takes what needs no quoting in a SCRAM exchange and is no
// wildcard ("*") in an ACL.
func checkUserName(name string) error {
	if topicName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%w: user %q: 1 to 249 letters a-z and A-Z, digits, '.', '_' and '-'", ErrUserName, name)
}
