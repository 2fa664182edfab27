#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sends the example's event to the broker with curl, in the binary form.
#   SLUICE_SERVER=http://127.0.0.1:8080 examples/knative-faas/send.sh
exec curl -sS -i "${SLUICE_SERVER:-http://127.0.0.1:8080}/js-example-service/default" -X POST \
    -H "Ce-Id: 536808d3-88be-4077-9d7a-a3f162705f79" \
    -H "Ce-specversion: 0.3" \
    -H "Ce-Type: dev.nodeshift.samples.js-example" \
    -H "Ce-Source: dev.nodeshift.samples/js-example-source" \
    -H "Content-Type: application/json" \
    -d '{"msg":"Message to js-example-service"}'
