#!/usr/bin/env python3
"""Judges OCSF events by the schema that the package ocsf-json-schema carries.

    ocsf_judge.py VERSION...  <EVENTS

Reads JSON lines from standard input, and says of each version how many events are valid in their class, one line a
version; before that, one line for each fault. The exit status is 1 where there was any.
"""

import json
import sys
from importlib.resources import files

from jsonschema import Draft202012Validator
from ocsf_json_schema.schema import OcsfJsonSchema
from referencing import Registry, Resource


def validator_for(schema, event, cache):
    profiles = sorted(event.get("metadata", {}).get("profiles", []))
    key = (event["class_uid"], tuple(profiles))
    if key not in cache:
        def retrieve(uri):
            return Resource.from_contents(schema.get_schema_from_uri(uri))

        name = schema.lookup_class_name_from_uid(event["class_uid"])
        of_class = schema.get_class_schema(name, profiles)
        cache[key] = Draft202012Validator(of_class, registry=Registry(retrieve=retrieve))
    return cache[key]


def faults(schema, event, cache):
    for error in validator_for(schema, event, cache).iter_errors(event):
        yield f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        yield "type_uid: it does not fit the class and the activity"


def main():
    events = [json.loads(line) for line in sys.stdin if line.strip()]
    sound = True
    for version in sys.argv[1:]:
        text = (files("ocsf_json_schema") / "ocsf" / f"{version}.json").read_text()
        schema, cache, valid = OcsfJsonSchema(json.loads(text)), {}, 0
        for number, event in enumerate(events, 1):
            found = list(faults(schema, event, cache))
            valid += not found
            for fault in found:
                sound = False
                print(f"{version}: event {number} ({event['metadata'].get('event_code')}): {fault}"[:1000])
        print(f"{version}: {valid} of {len(events)} valid")
    return 0 if sound and events else 1


sys.exit(main())
