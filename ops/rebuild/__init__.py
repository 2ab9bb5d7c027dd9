"""`rollcall rebuild`: the filter's memory made anew from the topics."""
