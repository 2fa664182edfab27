from .greeting import greet


def handle(event, context):
    """Called with every event, and with every HTTP request that is none.

    event: body (bytes), headers, method, query, path; cloudevent: a dict, or None
    context: hostname, namespace, name
    """
    if event.cloudevent is None:
        return {"statusCode": 200, "body": {"text": greet(event.query.get("name", "World"))}}
    name = event.cloudevent["data"]["name"]
    print(f"a greeting for {name}")
    return {
        "specversion": "1.0",
        "type": "com.example.greeted",
        "source": "/{{name}}",
        "data": {"text": greet(name)},
    }
