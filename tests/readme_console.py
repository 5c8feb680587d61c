"""A Python console for a program: reads statements as JSON, one a line, and answers with their output."""

import io
import json
import sys
from contextlib import redirect_stdout
from traceback import format_exception_only

namespace = {"__name__": "__main__"}
answers, sys.path[0] = sys.stdout, ""  # imports come from the current folder, as in a console
for line in sys.stdin:
    printed = io.StringIO()
    with redirect_stdout(printed):
        try:
            exec(compile(json.loads(line), "<console>", "single"), namespace)
        except Exception as error:
            print("".join(format_exception_only(error)))
    print(json.dumps(printed.getvalue()), file=answers, flush=True)
