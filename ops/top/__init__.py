"""`rollcall top`: the whole pipeline at a look, live.

rates     what two looks at the workers' metrics say of the time between them (pure)
figures   the figures that are shown, from that (pure)
npcs      single NPCs: who was told late, who waits (pure, bounded)
scrape    metrics pages, from whoever answers
follower  the newest commands and results, without joining a group
behind    consumer lag, a line for each group and topic
reading   all of it at one moment
view      drawn
document  as JSON
command   options
"""
