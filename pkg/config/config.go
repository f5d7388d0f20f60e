// Package config reads a program's configuration: a YAML file over the defaults,
// and the environment over both. What a key is called is said once, in the yaml
// tags of the configuration struct:
//
//	kafka:
//	  brokers: [a:9092, b:9092]     TRENCH_KAFKA_BROKERS=a:9092,b:9092
//
// Keys that the struct does not have are refused with their line. Of the
// environment, only the names that belong to a key are read, for others (service
// links of an orchestrator, say) may begin with TRENCH_ as well.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// Prefix begins the names of environment variables.
const Prefix = "TRENCH_"

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// Load fills the struct that dst points to, which holds the defaults, from the
// file at path (none when it is empty) and from this process's environment, and
// lets it validate itself when it has a method Validate. It reports every fault of
// the first of these steps that finds one.
func Load(path string, dst any) error {
	if err := Read(path, os.Environ(), dst); err != nil {
		return err
	}
	v, ok := dst.(interface{ Validate() error })
	if !ok {
		return nil
	}
	err := v.Validate()
	if err != nil && path != "" {
		return prefixed(path, err)
	}
	return err
}

// Read is Load with an environment of the caller's, in the form of os.Environ, and
// without validation.
func Read(path string, env []string, dst any) error {
	var errs []error
	if path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if len(raw) > maxFile {
			return fmt.Errorf("%s: %d bytes is too large for a configuration", path, len(raw))
		}
		if err := decode(raw, dst); err != nil {
			errs = append(errs, prefixed(path, err))
		}
	}
	vars := map[string]string{}
	for _, e := range env {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, Prefix) {
			vars[name] = value
		}
	}
	errs = append(errs, override(reflect.ValueOf(dst).Elem(), strings.TrimSuffix(Prefix, "_"), vars)...)
	return errors.Join(errs...)
}

// Names returns the environment variables that Read takes for a struct, in order.
func Names(dst any) []string {
	var out []string
	var walk func(t reflect.Type, name string)
	walk = func(t reflect.Type, name string) {
		for _, f := range fields(t) {
			full := name + "_" + strings.ToUpper(f.key)
			if f.typ.Kind() == reflect.Struct {
				walk(f.typ, full)
			} else {
				out = append(out, full)
			}
		}
	}
	walk(reflect.TypeOf(dst).Elem(), strings.TrimSuffix(Prefix, "_"))
	return out
}

func prefixed(path string, err error) error {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = path + ": " + lines[i]
	}
	return errors.New(strings.Join(lines, "\n"))
}

// field is a member of a configuration struct.
type field struct {
	key   string
	index []int
	typ   reflect.Type
}

// fields lists the members that have a key; those of inlined structs are its own.
func fields(t reflect.Type) (out []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || key == "-" {
			continue
		}
		if options == "inline" {
			for _, in := range fields(f.Type) {
				in.index = append([]int{i}, in.index...)
				out = append(out, in)
			}
			continue
		}
		if key == "" {
			key = strings.ToLower(f.Name)
		}
		out = append(out, field{key, []int{i}, f.Type})
	}
	return out
}

func decode(raw []byte, dst any) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return cleaned(err)
	}
	if len(doc.Content) == 0 { // an empty file
		return nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" { // only comments
		return nil
	}
	errs := unknown(root, reflect.TypeOf(dst).Elem(), "")
	if err := root.Decode(dst); err != nil {
		errs = append(errs, cleaned(err))
	}
	return errors.Join(errs...)
}

// cleaned drops the library's own prefix and splits its list.
func cleaned(err error) error {
	var list *yaml.TypeError
	if errors.As(err, &list) {
		return errors.New(strings.Join(list.Errors, "\n"))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}

// unknown lists the keys of a mapping that a struct does not have, or has twice.
func unknown(n *yaml.Node, t reflect.Type, path string) (errs []error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if t.Kind() != reflect.Struct || n.Kind != yaml.MappingNode {
		return nil
	}
	known := map[string]reflect.Type{}
	var names []string
	for _, f := range fields(t) {
		known[f.key] = f.typ
		names = append(names, f.key)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		typ, ok := known[key.Value]
		if !ok {
			errs = append(errs, fmt.Errorf("line %d: unknown key %s%s (known here: %s)", key.Line, path, key.Value, strings.Join(names, ", ")))
			continue
		}
		errs = append(errs, unknown(n.Content[i+1], typ, path+key.Value+".")...)
	}
	return errs
}

// override sets the members whose variables are there.
func override(v reflect.Value, name string, vars map[string]string) (errs []error) {
	for _, f := range fields(v.Type()) {
		full := name + "_" + strings.ToUpper(f.key)
		member := v.FieldByIndex(f.index)
		if f.typ.Kind() == reflect.Struct {
			errs = append(errs, override(member, full, vars)...)
			continue
		}
		text, ok := vars[full]
		if !ok {
			continue
		}
		if err := set(member, text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", full, err))
		}
	}
	return errs
}

func set(v reflect.Value, text string) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(text)
		return nil
	case v.Kind() == reflect.Slice:
		parts := strings.Split(text, ",")
		if strings.TrimSpace(text) == "" {
			parts = nil
		}
		list := reflect.MakeSlice(v.Type(), len(parts), len(parts))
		for i, p := range parts {
			if err := set(list.Index(i), strings.TrimSpace(p)); err != nil {
				return err
			}
		}
		v.Set(list)
		return nil
	}
	// Numbers, bools and durations read as in YAML.
	n := yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		return fmt.Errorf("%q is no %s", text, v.Type())
	}
	return nil
}

// Section gives the faults of a part of the configuration the name of that part:
// Validate's "brokers: must not be empty" becomes "kafka.brokers: must not be empty".
func Section(name string, err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = name + "." + lines[i]
	}
	return errors.New(strings.Join(lines, "\n"))
}
