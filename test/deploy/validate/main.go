// Command validate reads Kubernetes manifests from standard input and decodes each strictly into the Go type of its kind: a field
// that the type lacks, a field that occurs twice and a value of the wrong type are errors.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	istionetworking "istio.io/client-go/pkg/apis/networking/v1"
	istiosecurity "istio.io/client-go/pkg/apis/security/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

func main() {
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, monitoring.AddToScheme, gateway.Install, istionetworking.AddToScheme, istiosecurity.AddToScheme,
	} {
		if err := add(types); err != nil {
			panic(err)
		}
	}
	decoder := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	valid, invalid := 0, 0
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if isEmpty(document) {
			continue
		}
		if _, kind, err := decoder.Decode(document, nil, nil); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n", kind, err)
			invalid++
			continue
		}
		valid++
	}
	fmt.Printf("%d valid, %d invalid\n", valid, invalid)
	if invalid > 0 || valid == 0 {
		os.Exit(1)
	}
}

// A document of comments alone decodes to null.
func isEmpty(document []byte) bool {
	json, err := yaml.ToJSON(document)
	return err == nil && string(json) == "null"
}
