"""One labeling session: the queue, the answers and what the terminal shows of them."""
