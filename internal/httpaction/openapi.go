package httpaction

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// keyField is the property by which each part of a write for many carries its idempotency key.
const keyField = "idempotency_key"

// document is what is read of an OpenAPI 3 document.
type document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

// operation is one operation as an action needs it.
type operation struct {
	method   string
	path     string
	request  any // schema of one instance's part
	response any
	isBulk   bool // it takes a list and gives one, part by part
	hasKey   bool // the parts of its list carry idempotency keys
}

func readDocument(text []byte) (*document, error) {
	var version struct {
		OpenAPI string `json:"openapi"`
	}
	var d document
	if err := errors.Join(json.Unmarshal(text, &version)); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if !strings.HasPrefix(version.OpenAPI, "3.") {
		return nil, fmt.Errorf("openapi is %q, want 3.x", version.OpenAPI)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("not an OpenAPI document: %w", err)
	}
	return &d, nil
}

// described is what is read of an operation.
type described struct {
	ID          string `json:"operationId"`
	RequestBody struct {
		Content map[string]struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

const mediaJSON = "application/json"

// operation finds an operation by its operationId.
func (d *document) operation(id string) (operation, error) {
	for path, methods := range d.Paths {
		for method, text := range methods {
			var o described
			if json.Unmarshal(text, &o) != nil || o.ID != id {
				continue // parameters and the like stand beside the methods
			}
			if strings.Contains(path, "{") {
				return operation{}, fmt.Errorf("operation %s: parameters in the path %s can't be filled", id, path)
			}
			found := operation{method: strings.ToUpper(method), path: path}
			if found.method != "POST" && found.method != "PUT" {
				return found, fmt.Errorf("operation %s: method %s takes no body, want POST or PUT", id, found.method)
			}
			return found, d.describe(&found, o)
		}
	}
	return operation{}, fmt.Errorf("the document has no operation %q", id)
}

// describe reads the schemas of an operation; those of a list are the schemas of what it holds.
func (d *document) describe(found *operation, o described) error {
	request, err := d.schema(o.RequestBody.Content[mediaJSON].Schema, 0)
	if err != nil {
		return fmt.Errorf("operation %s: request: %w", o.ID, err)
	}
	response, err := d.schema(o.Responses["200"].Content[mediaJSON].Schema, 0)
	if err != nil {
		return fmt.Errorf("operation %s: response 200: %w", o.ID, err)
	}
	takes, isList := itemsOf(request)
	gives, isListToo := itemsOf(response)
	if isList != isListToo {
		return fmt.Errorf("operation %s: the request and the response must both be lists, or neither", o.ID)
	}
	found.request, found.response, found.isBulk = request, response, isList
	if isList {
		found.request, found.response = takes, gives
		found.hasKey = removeKey(takes)
	}
	return nil
}

func itemsOf(schema any) (any, bool) {
	object, _ := schema.(map[string]any)
	if object["type"] != "array" {
		return nil, false
	}
	return object["items"], true
}

// removeKey takes the key out of a schema: the engine fills it, definitions don't.
func removeKey(schema any) bool {
	object, _ := schema.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	if _, ok := properties[keyField]; !ok {
		return false
	}
	delete(properties, keyField)
	required, _ := object["required"].([]any)
	var left []any
	for _, name := range required {
		if name != keyField {
			left = append(left, name)
		}
	}
	if object["required"] = left; len(left) == 0 {
		delete(object, "required")
	}
	return true
}

// depthMax bounds the nesting of schemas and their references.
const depthMax = 32

// schema returns a schema with its references into the document resolved. What the types of
// workflows lack is refused by them; titles and examples say nothing to them.
func (d *document) schema(text json.RawMessage, depth int) (any, error) {
	if len(text) == 0 {
		return nil, fmt.Errorf("no schema for %s", mediaJSON)
	}
	var s any
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	return d.resolve(s, depth)
}

func (d *document) resolve(s any, depth int) (any, error) {
	if depth > depthMax {
		return nil, fmt.Errorf("schemas nested deeper than %d levels, or in a circle", depthMax)
	}
	object, ok := s.(map[string]any)
	if !ok {
		return s, nil
	}
	if ref, ok := object["$ref"].(string); ok {
		name, isOurs := strings.CutPrefix(ref, "#/components/schemas/")
		target, known := d.Components.Schemas[name]
		if !isOurs || !known {
			return nil, fmt.Errorf("reference %q leads nowhere", ref)
		}
		return d.schema(target, depth+1)
	}
	resolved := make(map[string]any, len(object))
	for key, value := range object {
		switch key {
		case "title", "example", "examples":
			continue
		case "properties":
			properties, err := d.properties(value, depth)
			if err != nil {
				return nil, err
			}
			resolved[key] = properties
			continue
		}
		inner, err := d.resolve(value, depth+1)
		if err != nil {
			return nil, err
		}
		resolved[key] = inner
	}
	return resolved, nil
}

// properties resolves each property; their names are not keywords.
func (d *document) properties(value any, depth int) (any, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return value, nil
	}
	resolved := make(map[string]any, len(object))
	for name, schema := range object {
		inner, err := d.resolve(schema, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		resolved[name] = inner
	}
	return resolved, nil
}
