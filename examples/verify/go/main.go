// Reads access tokens from standard input, and prints a line for each: `ok <sub>` or `rejected <why>`.
//
//	ISSUER=http://localhost:8080 AUDIENCE=latchkey go run . golang-jwt <<< "$ACCESS"
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	verifiers := map[string]func(context.Context, string, string) (func(string) (string, error), error){
		"golang-jwt": golangJWT,
		"go-oidc":    goOIDC,
		"jwx":        jwx,
	}
	verify, err := verifiers[os.Args[1]](context.Background(), os.Getenv("ISSUER"), os.Getenv("AUDIENCE"))
	if err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		subject, err := verify(lines.Text())
		if err != nil {
			why, _, _ := strings.Cut(err.Error(), "\n")
			fmt.Println("rejected", why)
		} else {
			fmt.Println("ok", subject)
		}
	}
}
