# SPDX-License-Identifier: Apache-2.0
"""The documents that assertions cite."""

DATA_PLANE = "knative/specs eventing/data-plane.md"
CONTROL_PLANE = "knative/specs eventing/control-plane.md"
ACKNOWLEDGE = f"{DATA_PLANE}#event-acknowledgement-and-delivery-retry"
REPLIES = f"{DATA_PLANE}#derived-reply-events"
ROUTING = f"{CONTROL_PLANE}#content-based-routing"
EVENT_DELIVERY = f"{CONTROL_PLANE}#event-delivery"
BROKERS = f"{CONTROL_PLANE}#broker-lifecycle"
TRIGGERS = f"{CONTROL_PLANE}#trigger-lifecycle"
DESTINATIONS = f"{CONTROL_PLANE}#destination-resolution"
DELIVERY_SPEC = f"{CONTROL_PLANE}#deliveryspec"

# Knative Eventing's own conformance and feature tests ("rekt"), where the sentence stands in a test.
REKT_DATA = "knative/eventing test/rekt/features/broker/data_plane.go"
REKT_BROKER = "knative/eventing test/rekt/features/broker/feature.go"
REKT_TRIGGER = "knative/eventing test/rekt/features/trigger/feature.go"
REKT_FILTERS = "knative/eventing test/rekt/features/new_trigger_filters/feature.go"

# What only its sources say: no requirement, but users rely on it (level REF).
INGRESS_CODE = "knative/eventing pkg/broker/ingress/ingress_handler.go"
FILTER_CODE = "knative/eventing pkg/broker/filter/filter_handler.go"
DELIVERY_CODE = "knative/eventing pkg/apis/duck/v1/delivery_types.go"
ERROR_CODE = "knative/eventing pkg/kncloudevents/attributes/knative_error.go"
TRIGGER_CODE = "knative/eventing pkg/apis/eventing/v1/trigger_validation.go"
TTL_CODE = "knative/eventing pkg/broker/ttl.go"

CE_CORE = "CloudEvents 1.0 spec.md"
CE_HTTP = "CloudEvents 1.0 http-protocol-binding.md"
CE_JSON = "CloudEvents 1.0 json-format.md"
CE_WEBHOOK = "CloudEvents 1.0 http-webhook.md"
CE_SUBSCRIPTIONS = "CloudEvents subscriptions/spec.md §3.2.4.1"
CE_TRACING = "CloudEvents extensions/distributed-tracing.md"
CESQL = "CloudEvents cesql/spec.md 1.0"
RFC_9110, RFC_9112 = "RFC 9110", "RFC 9112"
