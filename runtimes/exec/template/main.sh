#!/bin/sh
# Event on standard input, attributes as CE_…, the request as CGI/1.1 has it; the answer on standard output.
set -eu

greet() {
    echo "{\"text\":\"${GREETING:-Hello}, $1!\"}"
}

if [ -n "${CE_TYPE:-}" ]; then
    name=$(sed -n 's/.*"name" *: *"\([^"\\]*\)".*/\1/p')
    echo "a greeting for $name" >&2
    printf 'ce-type: com.example.greeted\nce-source: /{{name}}\ncontent-type: application/json\n\n'
    greet "$name"
else
    name=$(echo "$QUERY_STRING" | sed -n 's/^\(.*&\)\{0,1\}name=\([A-Za-z]*\).*/\2/p')
    greet "${name:-World}"
fi
